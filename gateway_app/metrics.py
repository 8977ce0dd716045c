"""Prometheus metrics, served on a port of their own: no public route leads to them."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What the gateway counts. Labels take values from closed sets only: routes, methods, instances."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = RequestCounts()
        self.registry.register(self._requests)
        self.observe_request = self._requests.observe
        self._attempts = Counter(
            "upstream_attempts",
            "Requests sent to instances",
            ("service", "instance", "outcome"),
            registry=self.registry,
        )
        self._gauges: dict[str, Gauge] = {}

    def observe_attempt(self, service: str, instance: str, outcome: str) -> None:
        """One request has been sent to an instance, and this is what became of it."""
        self._attempts.labels(service, instance, outcome).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float], **labels: str) -> None:
        """Shows `value()` whenever somebody asks."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, text, tuple(labels), registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set_function(value)

    def serve(self, host: str, port: int) -> tuple[WSGIServer, Thread]:
        """Serves them on `host:port`. OSError when the port is taken."""
        return start_http_server(port, addr=host, registry=self.registry)


class RequestCounts(Collector):
    """Requests by method, route and status, and their times by method and route, for one writing thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, int], int] = {}
        self._times: dict[tuple[str, str], list[float]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request has been answered."""
        with self._lock:
            key = (method, route, status)
            self._counts[key] = self._counts.get(key, 0) + 1
            times = self._times.get(key[:2])
            if times is None:
                times = self._times[key[:2]] = [0.0] * (len(BUCKETS) + 2)
            times[bisect_left(BUCKETS, seconds)] += 1
            times[-1] += seconds

    def collect(self) -> Iterable[Metric]:
        """Prometheus asks."""
        with self._lock:
            counts, times = dict(self._counts), {key: list(value) for key, value in self._times.items()}
        requests = CounterMetricFamily(
            "http_requests", "Requests answered", labels=("method", "route", "status")
        )
        for (method, route, status), count in counts.items():
            requests.add_metric((method, route, str(status)), count)
        seconds = HistogramMetricFamily(
            "http_request_seconds", "Time to the answer", labels=("method", "route")
        )
        for labels, (*buckets, total) in times.items():
            bounds = [*map(str, BUCKETS), "+Inf"]
            sums = [sum(buckets[: i + 1]) for i in range(len(buckets))]
            seconds.add_metric(labels, list(zip(bounds, sums, strict=True)), total)
        return [requests, seconds]
