"""What every request passes: each policy in turn, then a service, or one of the gateway's own routes in Flask.

It stands in front of Flask's dispatch, because nearly all requests never need Flask: they are checked here and passed
on.
"""

import logging
import os
import time
from collections.abc import Mapping

from gateway_app.admission import Gatekeeper
from gateway_app.answers import Answer, Problem, envelope, legacy_envelope
from gateway_app.client_address import ClientAddress
from gateway_app.cors import Cors
from gateway_app.exchange import Exchange
from gateway_app.http1.framing import Refused, Request
from gateway_app.http1.response import Reply
from gateway_app.journal import Journal, Note
from gateway_app.limiter_storage import COUNTS
from gateway_app.limits import Policy, client_key, user_key
from gateway_app.own_routes import OwnRoutes
from gateway_app.proxy import Proxy
from gateway_app.routes import METHODS, NoRoute, Route, find
from gateway_app.tokens import Identity, TokenVerifier, presented_token
from service_kit import correlation
from service_kit.tokens import InvalidTokenError

TOKEN_REQUIRED = "Access token required"  # noqa: S105
TOKEN_REFUSED = "Invalid or expired token"  # noqa: S105
INTERNAL_ERROR = "Internal server error"

log = logging.getLogger(__name__)


class Edge:
    """Lives in the event loop; one instance serves the process."""

    def __init__(
        self,
        *,
        own_routes: OwnRoutes,
        proxy: Proxy,
        gatekeeper: Gatekeeper,
        verifier: TokenVerifier,
        policies: Mapping[str, Policy],
        cors: Cors,
        addresses: ClientAddress,
        journal: Journal,
        allow_unchecked_tokens: bool,
        show_limits: bool,
    ) -> None:
        self._own_routes = own_routes
        self._proxy = proxy
        self._gatekeeper = gatekeeper
        self._verifier = verifier
        self._policies = policies
        self._cors = cors
        self._addresses = addresses
        self._journal = journal
        self._allow_unchecked_tokens = allow_unchecked_tokens
        self._show_limits = show_limits

    async def handle(self, request: Request, peer: str) -> Reply:
        """The answer to a request of `peer`."""
        get = request.fields.get
        exchange = Exchange(
            method=request.method,
            client=self._addresses.of(peer, get("HTTP_X_FORWARDED_FOR")),
            correlation_id=_correlation_id(get("HTTP_X_CORRELATION_ID")),
            origin=get("HTTP_ORIGIN"),
        )
        try:
            answer = await self._answer(exchange, request)
        except Problem as problem:
            answer = envelope(
                problem.status, problem.code, problem.message, exchange.correlation_id, problem.headers
            )
        except Exception:
            log.exception("a request failed", extra={"correlation_id": exchange.correlation_id})
            answer = envelope(500, "internal_error", INTERNAL_ERROR, exchange.correlation_id)
        return self._finish(exchange, answer)

    def refuse(self, refused: Refused, peer: str) -> Reply:
        """The answer to bytes that are not a request."""
        exchange = Exchange("other", peer, _correlation_id(None))
        answer = envelope(refused.status, refused.code, refused.message, exchange.correlation_id)
        return self._finish(exchange, answer)

    async def _answer(self, exchange: Exchange, request: Request) -> Answer:
        try:
            destination = find(request.method, request.target)
        except NoRoute as error:
            exchange.route = error.route
            await self._count(exchange, "default", None)
            _stop_if_breached(exchange)
            allow = error.route.allow if error.route else ", ".join(METHODS)
            extra = [("Allow", allow)] if error.status == 405 else []
            raise Problem(error.status, error.code, error.message, extra) from error
        route = exchange.route = destination.route
        if request.too_large:
            raise Problem(413, "body_too_large", "The request body is too large")
        if request.method == "OPTIONS":
            return self._preflight(exchange, request, route)
        if not route.service:
            return await self._own(exchange, request, route)
        identity, refusal = (None, None) if route.public else self._identify(exchange, request)
        revoked = (await self._count(exchange, route.policy, identity))[1]
        _stop_if_breached(exchange)
        if refusal is not None:
            return refusal
        if identity is not None and revoked is not False:
            if revoked:
                return legacy_envelope(403, TOKEN_REFUSED)
            if not self._allow_unchecked_tokens:
                raise Problem(
                    503, "revocation_unavailable", "Please try again in a moment", [("Retry-After", "1")]
                )
        fields = identity.headers if identity is not None else ""
        answer, exchange.upstream = await self._proxy.pass_on(
            destination, request, fields, exchange.client, exchange.correlation_id
        )
        return answer

    def _identify(self, exchange: Exchange, request: Request) -> tuple[Identity | None, Answer | None]:
        """The identity behind the token, or the answer when there is none."""
        token = presented_token(request.fields.get("HTTP_AUTHORIZATION"))
        if token is None:
            answer = legacy_envelope(401, TOKEN_REQUIRED)
            answer.headers.append(("WWW-Authenticate", "Bearer"))
            return None, answer
        try:
            identity = self._verifier.verify(token)
        except InvalidTokenError:
            return None, legacy_envelope(403, TOKEN_REFUSED)
        exchange.user_id = identity.user_id
        return identity, None

    async def _own(self, exchange: Exchange, request: Request, route: Route) -> Answer:
        """One of the gateway's own routes; Flask-Limiter decides there, over the counters moved here."""
        keys = (await self._count(exchange, route.policy, None))[0] if route.policy else []
        moved = exchange.moved
        known = {
            "gateway.client": exchange.client,
            "gateway.correlation_id": exchange.correlation_id,
            COUNTS: dict(zip(keys, zip(moved[::2], moved[1::2], strict=True), strict=True)),
        }
        return await self._own_routes.answer(request, route.path, known)

    async def _count(
        self, exchange: Exchange, policy: str, identity: Identity | None
    ) -> tuple[list[str], bool | None]:
        """Moves the client's and the user's counters: their keys; and whether the token is revoked, None when nobody
        can tell.
        """
        user = user_key(identity.user_id) if identity is not None else None
        exchange.quota, keys = self._policies[policy].quota(client_key(exchange.client), user)
        admission = await self._gatekeeper.admit(keys, exchange.quota.seconds, identity)
        exchange.moved = admission.moved
        return keys, admission.revoked

    def _preflight(self, exchange: Exchange, request: Request, route: Route) -> Answer:
        get = request.fields.get
        asked = get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"), get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        return Answer(
            204, [("Allow", route.allow), *self._cors.preflight(exchange.origin, *asked)], has_cors=True
        )

    def _finish(self, exchange: Exchange, answer: Answer) -> Reply:
        """Adds the fields that every answer has, and notes the request."""
        headers = answer.headers
        headers.append(("X-Correlation-ID", exchange.correlation_id))
        if not answer.has_cors:
            headers += self._cors.fields(exchange.origin)
        elif not any(name == "Vary" for name, _ in headers):
            headers += self._cors.fields(None)
        if exchange.quota is not None:
            limits = exchange.quota.headers(exchange.moved)
            headers += limits if self._show_limits else [item for item in limits if item[0] == "Retry-After"]
        self._journal.add(
            Note(
                time.time(),
                exchange.method_label,
                exchange.route_label,
                answer.status,
                time.perf_counter() - exchange.started,
                exchange.client,
                exchange.user_id,
                exchange.upstream,
                exchange.correlation_id,
            )
        )
        return answer.status_line, headers, answer.body


def _stop_if_breached(exchange: Exchange) -> None:
    if exchange.quota is not None and exchange.quota.breached(exchange.moved):
        raise Problem(429, "rate_limited", "Too many requests, please try again later")


def _correlation_id(given: str | None) -> str:
    """The client's when it is well formed, else a new one, made by hand: a UUID object costs more than the rest."""
    if given is not None:
        return correlation.accept(given)
    fresh = os.urandom(16).hex()
    return f"{fresh[:8]}-{fresh[8:12]}-4{fresh[13:16]}-a{fresh[17:20]}-{fresh[20:]}"
