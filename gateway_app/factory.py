"""Puts the gateway together."""

import sys
from functools import partial

from gateway_app.admission import Gatekeeper
from gateway_app.client_address import ClientAddress
from gateway_app.cors import Cors
from gateway_app.edge import Edge
from gateway_app.headers import HELMET
from gateway_app.http1.server import HttpServer
from gateway_app.journal import Journal
from gateway_app.limits import Policy
from gateway_app.metrics import Metrics
from gateway_app.proxy import Proxy
from gateway_app.redis_link import RedisLink
from gateway_app.tokens import TokenVerifier
from gateway_app.upstream.balancer import Service
from gateway_app.upstream.health import HealthChecks, Overview
from gateway_app.upstream.instance import Instance
from gateway_app.views import create_flask_app
from service_kit.settings import Settings
from service_kit.tokens import TokenKeys


class Gateway:
    """All parts; `app` is the WSGI application, `server` serves it. `start` and `stop` frame their lives."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.redis = RedisLink(settings.redis_url, settings.redis_timeout_ms)
        self.services = {
            name: Service(name, urls, settings.upstream_timeout_seconds, self.metrics.observe_attempt)
            for name, urls in (("user", settings.user_service_urls), ("auth", settings.auth_service_urls))
        }
        self.checks = HealthChecks(self.services.values(), settings.gateway_api_keys[0])
        self.journal = Journal(sys.stderr, self.metrics)
        self.app = self._edge(settings)
        self.server = HttpServer(
            self.app,
            self.app.refuse,
            settings.gateway_host,
            settings.gateway_port,
            max_body_bytes=settings.max_body_bytes,
            fixed_headers=HELMET,
        )
        self._add_gauges()

    def _edge(self, settings: Settings) -> Edge:
        policies = {
            "default": Policy("default", settings.rate_limit_default),
            "credentials": Policy("credentials", settings.rate_limit_credentials),
        }
        gatekeeper = Gatekeeper(self.redis)
        overview = Overview(self.services.values(), self.checks)
        return Edge(
            own_routes=create_flask_app(
                settings, gatekeeper, policies["default"], overview, self.redis, lambda: self.server.draining
            ),
            proxy=Proxy(self.services, settings.gateway_api_keys[0], settings.max_body_bytes),
            gatekeeper=gatekeeper,
            verifier=TokenVerifier(TokenKeys([settings.jwt_secret])),
            policies=policies,
            cors=Cors(settings.frontend_url),
            addresses=ClientAddress(settings.trusted_proxies),
            journal=self.journal,
            allow_unchecked_tokens=settings.revocation_unavailable == "allow",
            show_limits=settings.rate_limit_headers,
        )

    def _add_gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge("redis_up", "Whether Redis answers in time", lambda: 0 if self.redis.away else 1)
        gauge("http_connections", "Open connections of clients", lambda: self.server.connections)
        for service in self.services.values():
            for instance in service.instances:
                labels = {"service": service.name, "instance": instance.name}
                gauge(
                    "upstream_in_flight",
                    "Requests under way",
                    partial(getattr, instance, "in_flight"),
                    **labels,
                )
                gauge("upstream_up", "Whether it is well", partial(_is_well, instance), **labels)
                gauge(
                    "upstream_circuit_closed", "Whether it is asked", partial(_is_closed, instance), **labels
                )

    def start(self) -> None:
        """Starts everything but the server."""
        self.journal.start()
        self.redis.start()
        self.checks.start()

    def stop(self) -> None:
        """Ends everything but the server."""
        self.checks.stop()
        self.redis.stop()
        self.journal.stop()


def _is_well(instance: Instance) -> int:
    return int(instance.rank == 0)


def _is_closed(instance: Instance) -> int:
    return int(instance.breaker.state == "closed")
