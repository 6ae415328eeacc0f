"""Under ASGI a large body comes as a view of Roost reads it, and no more of it than is taken."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.urls import path

from console import bodies
from console.api.guard import UNKNOWN_BYTES
from console.asgi import OneThreadHandler
from console.bodies import SMALL_BYTES, reads
from runtime.operations.tokens import create_token
from tests.console.api.conftest import ALL, ROOT
from tests.factories import WorkItemFactory

MOST = 4 * SMALL_BYTES
PIECE = b"x" * SMALL_BYTES
TYPES = {"json": b"application/json", "form": b"multipart/form-data; boundary=limit"}


@reads(lambda: MOST)
def taking(request: HttpRequest) -> HttpResponse:
    """Read what `?read=` says, all without it."""
    try:
        found = request.read(int(request.GET["read"])) if "read" in request.GET else request.read()
    except (UnreadablePostError, RequestDataTooBig) as error:
        return HttpResponse(type(error).__name__, status=400)
    return HttpResponse(str(len(found)))


def given(request: HttpRequest) -> HttpResponse:
    """Have the body given."""
    return HttpResponse(str(len(request.read())))


@reads(lambda: MOST, of_anybody=lambda: SMALL_BYTES + 1)
def asking(request: HttpRequest) -> HttpResponse:
    """Read what is read of anybody, and on."""
    return taking(request)


urlpatterns = [path(view.__name__, view) for view in (taking, given, asking)]


class Client:
    """Sends a request as a server hands it on, piece by piece, each when it is asked for."""

    def __init__(
        self, pieces: Iterable[bytes], *, leaves: bool = False, stalls: bool = False, pause: float = 0.0
    ) -> None:
        self.pieces, self.leaves, self.stalls, self.pause = iter(pieces), leaves, stalls, pause
        self.taken = 0
        self.sent: list[dict[str, Any]] = []
        self.next = next(self.pieces, None)

    async def receive(self) -> dict[str, Any]:
        """Hand on the next piece."""
        if self.next is None:
            if self.leaves:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        await asyncio.sleep(self.pause)
        piece, self.next = self.next or b"", next(self.pieces, None)
        self.taken += len(piece)
        more = self.next is not None or self.leaves or self.stalls
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a part of the answer."""
        self.sent.append(message)

    async def ask(self, handler: OneThreadHandler, where: str, **headers: bytes) -> tuple[int, str]:
        """POST; return status and text of the answer."""
        address, _, query = where.partition("?")
        named = [(name.replace("_", "-").encode(), value) for name, value in {"host": b"testserver", **headers}.items()]
        scope = {"type": "http", "method": "POST", "path": address, "query_string": query.encode(), "headers": named}
        await asyncio.wait_for(handler(scope, self.receive, self.send), 20)
        body = b"".join(message.get("body", b"") for message in self.sent[1:])
        return (self.sent[0]["status"] if self.sent else 0), body.decode()


class Slow(Client):
    """Sends its last piece when it is let."""

    def __init__(self, pieces: Iterable[bytes], go_on: asyncio.Event) -> None:
        super().__init__(pieces)
        self.go_on, self.stuck = go_on, asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """Hand on the next piece."""
        if self.taken and not self.go_on.is_set():
            self.stuck.set()
            await self.go_on.wait()
        return await super().receive()


def ask(client: Client, where: str, most: int | None = None, **headers: bytes) -> tuple[int, str]:
    """POST to an application of this test's own."""
    return asyncio.run(client.ask(OneThreadHandler(most_bytes=most), where, **headers))


@pytest.fixture
def own_views(settings: Any) -> None:
    """Serve the views of this file."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []


@pytest.mark.usefixtures("own_views")
@pytest.mark.parametrize("count", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, MOST])
@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("view", ["taking", "given", "asking"])
def test_what_may_come_comes_whole(view: str, said: bool, count: int) -> None:
    pieces = [(b"x" * count)[start : start + 50_000] for start in range(0, count, 50_000)] or [b""]
    # A server may have nothing new to hand on.
    client = Client(chain(pieces[:1], [b""], pieces[1:]) if count else pieces)
    headers = {"content_length": str(count).encode()} if said else {}
    assert ask(client, f"/{view}", **headers) == (200, str(count))


@pytest.mark.usefixtures("own_views")
def test_nothing_is_taken_from_the_client_before_a_view_asks_for_it() -> None:
    client = Client(repeat(PIECE))
    assert ask(client, "/taking?read=0", content_length=b"1000000000") == (200, "0")
    assert client.taken == 0


@pytest.mark.usefixtures("own_views")
def test_a_view_that_reads_a_part_has_no_more_taken() -> None:
    client = Client(repeat(PIECE))
    assert ask(client, "/taking?read=100000") == (200, "100000")
    assert client.taken == 2 * SMALL_BYTES


@pytest.mark.usefixtures("own_views")
def test_a_view_that_reads_on_gets_no_more_than_it_takes() -> None:
    client = Client(repeat(PIECE))
    assert ask(client, "/taking") == (400, "RequestDataTooBig")
    assert client.taken == MOST + SMALL_BYTES


@pytest.mark.usefixtures("own_views")
def test_what_is_too_large_for_any_other_address_is_refused_as_soon_as_that_is_known() -> None:
    told = Client(repeat(PIECE))
    assert ask(told, "/given", MOST, content_length=str(MOST + 1).encode()) == (413, f"At most {MOST} bytes are taken.")
    assert told.taken == 0
    silent = Client(repeat(PIECE))
    assert ask(silent, "/nothing", MOST)[0] == 413
    assert silent.taken == MOST + SMALL_BYTES
    # A product's own uploads are as large as it likes.
    assert ask(Client(repeat(PIECE, 20)), "/given") == (200, str(20 * SMALL_BYTES))
    assert ask(Client(repeat(PIECE, 4)), "/given", MOST) == (200, str(MOST))


@pytest.mark.usefixtures("own_views")
def test_who_leaves_or_stalls_in_the_midst_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody is there to be told.
    assert ask(Client([PIECE] * 2, leaves=True), "/taking")[0] in (0, 400)
    assert ask(Client([PIECE] * 2, leaves=True), "/given")[0] == 0
    monkeypatch.setattr(bodies, "PIECE_SECONDS", 0.05)
    stalled_is_told()
    monkeypatch.setattr(bodies, "PIECE_SECONDS", 30.0)
    monkeypatch.setattr(bodies, "WHOLE_SECONDS", 0.05)
    stalled_is_told(large=False)
    assert ask(Client(repeat(PIECE, 20), pause=0.01), "/given") == (200, str(20 * SMALL_BYTES))


def stalled_is_told(*, large: bool = True) -> None:
    """See what a client is told that sends a beginning and no more; a large body of a product's own has more time."""
    for view, pieces in (("taking", 2), ("asking", 1), ("asking", 2)):
        assert ask(Client([PIECE] * pieces, stalls=True), f"/{view}") == (400, "UnreadablePostError")
    slow = [(Client([PIECE] * 2, stalls=True), b"1000000")] if large else []
    for client, length in (*slow, (Client([b"x"], stalls=True), b"2")):
        status, text = ask(client, "/given", content_length=length)
        assert (status, text[:34]) == (408, "The body did not come in time: sen")
    assert ask(Client([b""], stalls=True), "/taking")[0] == 408


def while_bodies_come(where: str) -> tuple[set[str], set[int]]:
    """Send five slow bodies; return which threads there are meanwhile that were not before, and what is answered."""

    async def scenario() -> tuple[set[str], set[int]]:
        handler, go_on = OneThreadHandler(), asyncio.Event()
        before = set(threading.enumerate())
        clients = [Slow([PIECE, b"x"], go_on) for _ in range(5)]
        headers = {"content_length": b"65537", "content_type": TYPES["json"]}
        asking = [asyncio.create_task(one.ask(handler, where, **headers)) for one in clients]
        for one in clients:
            await one.stuck.wait()
        busy = {one.name for one in set(threading.enumerate()) - before}
        go_on.set()
        return busy, {(await one)[0] for one in asking}

    return asyncio.run(scenario())


@pytest.mark.usefixtures("own_views")
def test_no_thread_waits_for_what_a_view_reads_of_anybody() -> None:
    assert while_bodies_come("/asking") == (set(), {200})


@pytest.mark.usefixtures("own_views")
def test_a_view_that_reads_waits_no_longer_when_its_request_is_cut_off() -> None:
    async def scenario() -> bool:
        client = Slow([PIECE] * 2, asyncio.Event())
        asking = asyncio.create_task(client.ask(OneThreadHandler(), "/taking", content_length=b"1000000"))
        await client.stuck.wait()
        asking.cancel()
        await asyncio.wait([asking], timeout=10)
        return asking.cancelled()

    assert asyncio.run(scenario())


def test_a_body_that_comes_is_read_in_no_loop() -> None:
    async def scenario() -> None:
        incoming = bodies.Incoming({}, Client([PIECE]).receive, None)
        bodies.Arriving(incoming, b"", MOST, 0.0).read(1)

    with pytest.raises(RuntimeError, match="read it in no asynchronous middleware"):
        asyncio.run(scenario())


@pytest.fixture
def item() -> Any:
    """Give an item."""
    return WorkItemFactory()


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("S10")
class TestApi:
    """Roost's own addresses, as they are served."""

    def form(self) -> list[bytes]:
        """Return a form with a file, in pieces."""
        head = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        return [head, *[PIECE] * 3, b"\r\n--limit--\r\n"]

    def test_nothing_of_a_strangers_file_is_taken(self, item: Any) -> None:
        client = Client(repeat(PIECE))
        where = f"{ROOT}/work-items/{item.pk}/artifacts"
        status, text = ask(client, where, content_type=TYPES["form"], content_length=b"1000000")
        assert (status, json.loads(text)["code"]) == (401, "unauthenticated")
        assert client.taken == 0

    def test_of_a_strangers_endless_body_the_beginning_is_taken(self) -> None:
        client = Client(repeat(PIECE))
        assert ask(client, f"{ROOT}/work-items", content_type=TYPES["json"])[0] == 401
        assert client.taken <= UNKNOWN_BYTES + 2 * SMALL_BYTES

    @pytest.mark.parametrize("where", [f"{ROOT}/work-items", "/roost/hooks/default/x"])
    def test_no_thread_waits_for_a_strangers_body(self, where: str) -> None:
        assert while_bodies_come(where) == (set(), {401})

    def test_an_endless_webhook_is_refused(self, settings: Any) -> None:
        settings.ROOST_MAX_WEBHOOK_BYTES = MOST
        client = Client(repeat(PIECE))
        assert ask(client, "/roost/hooks/default/x", content_type=TYPES["json"])[0] == 413
        assert client.taken <= MOST + SMALL_BYTES

    def test_who_is_known_sends_as_much_as_may_come(self, item: Any, token: bytes, settings: Any) -> None:
        known = {"authorization": token}
        where, form = f"{ROOT}/work-items/{item.pk}/artifacts", self.form()
        length = str(len(b"".join(form))).encode()
        made = ask(Client(form), where, content_type=TYPES["form"], content_length=length, **known)
        assert (made[0], json.loads(made[1])["size"]) == (201, 3 * SMALL_BYTES)
        settings.ROOST_API_MAX_BODY_BYTES = MOST
        endless = Client(repeat(PIECE))
        assert ask(endless, f"{ROOT}/work-items", content_type=TYPES["json"], **known)[0] == 413
        assert endless.taken <= MOST + SMALL_BYTES
        body = [b'{"engine": "counter", "payload": {"count_to": 1}}', b" " * SMALL_BYTES, b" " * SMALL_BYTES]
        assert ask(Client(body), f"{ROOT}/work-items", content_type=TYPES["json"], **known)[0] == 201


@pytest.fixture
def token() -> bytes:
    """Give the header of somebody who may do everything."""
    return f"Bearer {create_token('sender', scopes=ALL, namespaces=['*']).text}".encode()
