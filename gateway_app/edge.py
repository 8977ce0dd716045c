"""The WSGI application that clients reach: every policy, then a service or one of the gateway's own routes.

It stands in front of Flask's dispatch, because most requests never need Flask: they are checked here and passed on.
Routes of the gateway's own go to the Flask application inside.
"""

import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from gateway_app.admission import Gatekeeper
from gateway_app.answers import Answer, Problem, envelope, legacy_envelope
from gateway_app.client_address import ClientAddress
from gateway_app.cors import Cors
from gateway_app.exchange import Exchange
from gateway_app.http1.framing import Refused
from gateway_app.http1.wsgi import Application, Environ, Headers, StartResponse
from gateway_app.journal import Journal, Note
from gateway_app.limits import Policy, client_key, user_key
from gateway_app.proxy import Proxy
from gateway_app.routes import Destination, NoRoute, find
from gateway_app.tokens import Identity, TokenVerifier, presented_token
from service_kit import correlation
from service_kit.tokens import InvalidTokenError

TOKEN_REQUIRED = "Access token required"  # noqa: S105
TOKEN_REFUSED = "Invalid or expired token"  # noqa: S105
INTERNAL_ERROR = "Internal server error"

log = logging.getLogger(__name__)


class Edge:
    """Thread safe; one instance serves the process."""

    def __init__(
        self,
        *,
        own_routes: Application,
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

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        """One request."""
        get = environ.get
        exchange = Exchange(
            method=environ["REQUEST_METHOD"],
            client=self._addresses.of(environ["REMOTE_ADDR"], get("HTTP_X_FORWARDED_FOR")),
            correlation_id=_correlation_id(get("HTTP_X_CORRELATION_ID")),
            origin=get("HTTP_ORIGIN"),
        )
        try:
            answer = self._answer(exchange, environ)
        except Problem as problem:
            answer = self._explain(exchange, problem)
        except Exception:
            log.exception("a request failed", extra={"correlation_id": exchange.correlation_id})
            answer = envelope(500, "internal_error", INTERNAL_ERROR, exchange.correlation_id)
        headers = self._finish(exchange, answer)
        start_response(answer.status_line, headers)
        return [answer.body]

    def refuse(self, refused: Refused, peer: str) -> tuple[str, Headers, bytes]:
        """The answer to bytes that are not a request."""
        exchange = Exchange("other", peer, _correlation_id(None))
        answer = envelope(refused.status, refused.code, refused.message, exchange.correlation_id)
        return answer.status_line, self._finish(exchange, answer), answer.body

    def _answer(self, exchange: Exchange, environ: Environ) -> Answer:
        try:
            destination = find(exchange.method, environ.get("RAW_URI") or _rebuilt_target(environ))
        except NoRoute as error:
            exchange.route = error.route
            self._count(exchange, "default", None)
            allow = error.route.allow if error.route else "DELETE, GET, HEAD, OPTIONS, POST, PUT"
            extra = [("Allow", allow)] if error.status == 405 else []
            raise Problem(error.status, error.code, error.message, extra) from error
        exchange.route = destination.route
        if environ.get("gateway.body_too_large"):
            raise Problem(413, "body_too_large", "The request body is too large")
        if exchange.method == "OPTIONS":
            return self._preflight(exchange, environ)
        if not destination.route.service:
            return self._own(exchange, environ)
        identity, refusal = self._identify(exchange, environ)
        revoked = self._count(exchange, destination.route.policy, identity)
        if refusal is not None:
            return refusal
        if identity is not None and revoked is not False:
            if revoked:
                return legacy_envelope(403, TOKEN_REFUSED)
            if not self._allow_unchecked_tokens:
                raise Problem(
                    503, "revocation_unavailable", "Please try again in a moment", [("Retry-After", "1")]
                )
        return self._pass_on(exchange, environ, destination, identity)

    def _identify(self, exchange: Exchange, environ: Environ) -> tuple[Identity | None, Answer | None]:
        """The identity behind the token, or the answer when there should be one and is not."""
        if exchange.route is not None and exchange.route.public:
            return None, None
        token = presented_token(environ.get("HTTP_AUTHORIZATION"))
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

    def _count(self, exchange: Exchange, policy: str, identity: Identity | None) -> bool | None:
        """Moves the client's and the user's counters; whether the token is revoked, None when nobody can tell."""
        user = user_key(identity.user_id) if identity is not None else None
        exchange.quota, keys = self._policies[policy].quota(client_key(exchange.client), user)
        admission = self._gatekeeper.admit(keys, exchange.quota.seconds, identity)
        exchange.moved = admission.moved
        if exchange.quota.breached(exchange.moved):
            raise Problem(429, "rate_limited", "Too many requests, please try again later")
        return admission.revoked

    def _pass_on(
        self, exchange: Exchange, environ: Environ, destination: Destination, identity: Identity | None
    ) -> Answer:
        answer, exchange.upstream = self._proxy.pass_on(
            destination,
            environ,
            identity.headers if identity is not None else "",
            exchange.client,
            exchange.correlation_id,
        )
        return answer

    def _preflight(self, exchange: Exchange, environ: Environ) -> Answer:
        get = environ.get
        asked = get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"), get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        allow = exchange.route.allow if exchange.route is not None else ""
        return Answer(204, [("Allow", allow), *self._cors.preflight(exchange.origin, *asked)], has_cors=True)

    def _own(self, exchange: Exchange, environ: Environ) -> Answer:
        """Runs the Flask application; its answers get the same fields as all others."""
        answer = Answer(500, has_cors=True)

        def start_response(status: str, headers: Headers, _exc_info: Any = None) -> None:
            answer.status = int(status[:3])
            answer.headers = headers

        own_environ = {
            **environ,
            "PATH_INFO": exchange.route.path if exchange.route is not None else "/",
            "gateway.client": exchange.client,
            "gateway.correlation_id": exchange.correlation_id,
        }
        result: Iterable[bytes] = self._own_routes(own_environ, start_response)
        try:
            answer.body = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return answer

    def _explain(self, exchange: Exchange, problem: Problem) -> Answer:
        return envelope(
            problem.status, problem.code, problem.message, exchange.correlation_id, problem.headers
        )

    def _finish(self, exchange: Exchange, answer: Answer) -> Headers:
        """The answer's fields; also notes the request."""
        headers = answer.headers
        headers.append(("X-Correlation-ID", exchange.correlation_id))
        if not answer.has_cors:
            headers += self._cors.fields(exchange.origin)
        if self._show_limits and exchange.quota is not None:
            headers += exchange.quota.headers(exchange.moved)
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
        return headers


def _rebuilt_target(environ: Mapping[str, Any]) -> str:
    """For servers that tell only the decoded path: good enough to look routes up, not to tell spellings apart."""
    path = str(environ.get("PATH_INFO", ""))
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


def _correlation_id(given: str | None) -> str:
    """The client's when it is well formed, else a new one; made by hand, for a UUID object costs more than the rest."""
    if given is not None:
        return correlation.accept(given)
    fresh = os.urandom(16).hex()
    return f"{fresh[:8]}-{fresh[8:12]}-4{fresh[13:16]}-a{fresh[17:20]}-{fresh[20:]}"
