"""Passes a checked request on to its service, and what the service answers back."""

import logging
from collections.abc import Mapping

from gateway_app.answers import Answer, Problem
from gateway_app.headers import forwarded_fields, returned_fields
from gateway_app.http1.framing import Request
from gateway_app.routes import Destination
from gateway_app.upstream.balancer import Overloaded, Service
from gateway_app.upstream.errors import NoInstance, UpstreamError
from gateway_app.upstream.wire import Response

BODY_METHODS = ("POST", "PUT", "PATCH", "DELETE")
RETRY = [("Retry-After", "1")]
LATER = "The service is not available, please try again in a moment"

log = logging.getLogger(__name__)


class Proxy:
    """`services` by the names that the routing table uses; `api_key` tells them that it is the gateway."""

    def __init__(self, services: Mapping[str, Service], api_key: str) -> None:
        self._services = services
        self._api_key_line = f"X-API-Key: {api_key}\r\n"

    async def pass_on(
        self,
        destination: Destination,
        request: Request,
        identity_fields: str,
        client: str,
        correlation_id: str,
    ) -> tuple[Answer, str]:
        """The answer, and the instance that gave it. Problem when there is none."""
        method = request.method
        body = request.body if method in BODY_METHODS else b""
        length = f"Content-Length: {len(body)}\r\n" if method in BODY_METHODS else ""
        fields = (
            f"{forwarded_fields(request.fields)}{self._api_key_line}{identity_fields}{length}"
            f"X-Correlation-ID: {correlation_id}\r\nX-Forwarded-For: {client}\r\n"
        )
        service = self._services[destination.route.service]
        try:
            response, instance = await service.exchange(method, destination.target, fields, body)
        except Overloaded as error:
            raise Problem(
                503, "overloaded", "Too many requests are waiting, please try again", RETRY
            ) from error
        except NoInstance as error:
            raise Problem(503, "service_unavailable", LATER, RETRY) from error
        except UpstreamError as error:
            raise _problem(error) from error
        return _answer(response, f"{service.name} {instance.name}"), instance.name


def _problem(error: UpstreamError) -> Problem:
    log.warning("no answer from a service", extra={"error": str(error), "sent": error.sent})
    if error.timed_out:
        return Problem(504, "service_timeout", "The service did not answer in time")
    if error.sent:
        return Problem(502, "bad_gateway", "The service did not answer")
    return Problem(503, "service_unavailable", LATER, RETRY)


def _answer(response: Response, upstream: str) -> Answer:
    """A service's answer as the client gets it. A failure that does not speak our envelope is not passed on: it
    could show a cause.
    """
    content_type = response.get("content-type") or ""
    if response.status >= 500 and not content_type.startswith("application/json"):
        log.error(
            "a service failed without an envelope", extra={"upstream": upstream, "status": response.status}
        )
        raise Problem(502, "bad_gateway", "The service did not answer")
    if response.status == 401 and b'"api_key_required"' in response.body:
        log.error("a service does not accept our API key", extra={"upstream": upstream})
        raise Problem(502, "bad_gateway", "The service did not answer")
    fields = returned_fields(response.fields)
    if response.get("cache-control") is None:
        fields.append(("Cache-Control", "no-store"))
    return Answer(response.status, fields, response.body)
