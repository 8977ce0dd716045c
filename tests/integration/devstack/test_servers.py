"""PostgreSQL and Redis out of wheels: start, stop, die, come back, and keep strangers out."""

import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
from redis import Redis as RedisClient
from redis.exceptions import AuthenticationError

from devstack.errors import StackError
from devstack.ports import holder, is_free
from devstack.postgres import Postgres
from devstack.redis import Redis


@pytest.fixture
def cluster(servers_home: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, in a folder whose name is no plain word."""
    server = Postgres(servers_home / "own 'cluster' [1]", durable=False)
    yield server
    server.destroy()


def _query(url: str, statement: str) -> object:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        connection.commit()
        return row[0] if row else None


def _own_database(server: Postgres) -> str:
    server.start()
    server.create_role("owner")
    server.create_database("things", "owner")
    return server.url("things")


def test_data_port_and_passwords_outlive_a_stop_and_a_kill(cluster: Postgres) -> None:
    url = _own_database(cluster)
    _query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    cluster.stop()
    assert not cluster.running
    cluster.start()
    assert cluster.url("things") == url
    cluster.kill()
    assert not cluster.running
    cluster.start()
    assert _query(url, "SELECT answer FROM kept") == 42


def test_starting_twice_is_starting_once(cluster: Postgres) -> None:
    cluster.start()
    pid = cluster.daemon.pid
    cluster.start()
    assert cluster.daemon.pid == pid


def test_after_its_port_was_taken_it_moves_to_another(cluster: Postgres) -> None:
    cluster.start()
    cluster.stop()
    former = cluster.port
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", former))
        thief.listen()
        cluster.start()
        assert cluster.port != former


def test_no_process_and_no_port_stays_when_only_the_main_process_was_killed(cluster: Postgres) -> None:
    cluster.start()
    port = cluster.port
    psutil.Process(cluster.daemon.pid).kill()
    cluster.stop()
    assert is_free(port)
    assert cluster.processes() == []


def test_a_paused_server_does_not_answer_and_goes_on_afterwards(cluster: Postgres) -> None:
    url = _own_database(cluster)
    cluster.pause()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url, connect_timeout=2)
    cluster.resume()
    assert _query(url, "SELECT 1") == 1


def test_a_role_sees_its_own_database_only(cluster: Postgres) -> None:
    _own_database(cluster)
    cluster.create_role("other")
    for database in ("things", "postgres", "template1"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(cluster.url(database, "other"))


def test_nobody_gets_in_without_a_password(cluster: Postgres) -> None:
    cluster.start()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(
            host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", password="x"
        )
    assert stat.S_IMODE((cluster.home / "access.json").stat().st_mode) == 0o600


def test_it_never_runs_as_root(cluster: Postgres) -> None:
    cluster.start()
    assert psutil.Process(cluster.daemon.pid).uids().real != 0


def test_a_setup_that_was_cut_short_is_made_again(cluster: Postgres) -> None:
    data = cluster.place.data()
    draft = data.with_name("data.new")
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("half")
    cluster.start()
    assert _query(cluster.superuser_url(), "SELECT 1") == 1


def test_lost_data_is_not_replaced_by_an_empty_cluster_in_silence(cluster: Postgres) -> None:
    cluster.start()
    cluster.stop()
    data = cluster.place.data()
    data.rename(data.with_name("moved"))
    try:
        with pytest.raises(StackError, match="is not in"):
            cluster.start()
    finally:
        data.with_name("moved").rename(data)


def test_below_a_folder_that_the_servers_account_may_not_enter_it_works_all_the_same(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(closed / "postgres", durable=False)
    try:
        server.start()
        assert _query(server.superuser_url(), "SELECT 1") == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        server.destroy()
    assert not any(folder.parent.exists() for folder in server.place.data_folders)


def test_redis_wants_its_password_and_forgets_nothing_but_at_its_end(servers_home: Path) -> None:
    server = Redis(servers_home / 'own "redis" [1]*\\')
    try:
        server.start()
        url = server.url
        with RedisClient.from_url(url) as client:
            client.set("key", "value")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with (
            pytest.raises(AuthenticationError),
            RedisClient.from_url(f"redis://127.0.0.1:{server.port}") as client,
        ):
            client.get("key")
        server.kill()
        server.start()
        assert server.url == url
        with RedisClient.from_url(url) as client:
            assert client.dbsize() == 0
    finally:
        server.destroy()
    assert is_free(int(url.rpartition(":")[2].partition("/")[0]))


def test_who_holds_a_port_is_said_with_its_command() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        words = holder(server.getsockname()[1])
    assert words.startswith(f"process {psutil.Process().pid} (")
    assert Path(psutil.Process().cmdline()[0]).name in words
