"""Puts the gateway together."""

import sys
from collections.abc import Mapping
from functools import partial

from flask import Flask

from gateway_app.admission import Gatekeeper
from gateway_app.client_address import ClientAddress
from gateway_app.cors import Cors
from gateway_app.edge import Edge
from gateway_app.headers import HELMET
from gateway_app.http1.server import HttpServer
from gateway_app.journal import Journal
from gateway_app.limits import Policy
from gateway_app.metrics import Metrics
from gateway_app.own_routes import OwnRoutes
from gateway_app.proxy import Proxy
from gateway_app.redis_link import RedisLink
from gateway_app.tokens import TokenVerifier
from gateway_app.upstream.balancer import Service
from gateway_app.upstream.health import HealthChecks
from gateway_app.upstream.instance import Instance
from gateway_app.views import State, create_flask_app
from service_kit.settings import Settings
from service_kit.tokens import TokenKeys


class Gateway:
    """All parts of a gateway. Made, started and drained in a running event loop."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self._journal = Journal(sys.stderr, self.metrics)
        self._redis = RedisLink(settings.redis_url, settings.redis_timeout_ms)
        self._gatekeeper = Gatekeeper(self._redis)
        self._services = {
            name: Service(name, urls, settings.upstream_timeout_seconds, self.metrics.observe_attempt)
            for name, urls in (("user", settings.user_service_urls), ("auth", settings.auth_service_urls))
        }
        self._checks = HealthChecks(self._services.values(), settings.gateway_api_keys[0])
        policies = {
            "default": Policy("default", settings.rate_limit_default),
            "credentials": Policy("credentials", settings.rate_limit_credentials),
        }
        self._own_routes = OwnRoutes(self._flask_app(settings, policies["default"]))
        edge = self._edge(settings, policies)
        self.server = HttpServer(
            edge.handle,
            edge.refuse,
            settings.gateway_host,
            settings.gateway_port,
            max_body_bytes=settings.max_body_bytes,
            fixed_headers=HELMET,
        )
        self._add_gauges()

    async def start(self) -> None:
        """Starts everything; the port last of what a request needs, or the first ones would be refused.

        Raises:
            OSError: the port is taken.
        """
        await self._redis.start()
        await self.server.start()
        self._journal.start()
        self._checks.start()

    async def drain(self, notice: float, grace: float) -> bool:
        """Ends everything; the server as its own `drain` says. True when all requests were answered."""
        drained = await self.server.drain(notice, grace)
        self._checks.stop()
        await self._redis.stop()
        self._own_routes.stop()
        self._journal.stop()
        return drained

    def _edge(self, settings: Settings, policies: Mapping[str, Policy]) -> Edge:
        return Edge(
            own_routes=self._own_routes,
            proxy=Proxy(self._services, settings.gateway_api_keys[0]),
            gatekeeper=self._gatekeeper,
            verifier=TokenVerifier(TokenKeys([settings.jwt_secret])),
            policies=policies,
            cors=Cors(settings.frontend_url),
            addresses=ClientAddress(settings.trusted_proxies),
            journal=self._journal,
            allow_unchecked_tokens=settings.revocation_unavailable == "allow",
            show_limits=settings.rate_limit_headers,
        )

    def _flask_app(self, settings: Settings, policy: Policy) -> Flask:
        state = State(
            overview=self._checks.overview,
            redis_away=lambda: self._redis.away,
            draining=lambda: self.server.draining,
        )
        return create_flask_app(settings, policy, state)

    def _add_gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge("redis_up", "Whether Redis answers in time", lambda: 0 if self._redis.away else 1)
        gauge("http_connections", "Open connections of clients", lambda: self.server.connections)
        for service in self._services.values():
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


def _is_well(instance: Instance) -> int:
    return int(instance.rank == 0)


def _is_closed(instance: Instance) -> int:
    return int(instance.breaker.state == "closed")
