"""Stand before every address of the API: look at the body before it is read, and see that every answer is a problem
or a document. Of whom nobody knows, no more is read than `UNKNOWN_BYTES`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import (
    BadRequest,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from console.api.auth import recognised
from console.api.errors import SIGN_IN, WHO_CALLS, answer
from console.api.heavy import uploads
from console.api.problems import Refusal, problem
from console.bodies import reads
from console.connections import alone, give_back_connection
from runtime.conf import settings as roost
from runtime.operations.attach import Attach

JSON = "application/json"
FORM = "multipart/form-data"
FORM_BYTES = 64 * 1024
"""What a form may have beside its file."""
UNKNOWN_BYTES = 64 * 1024
"""How much of a body is read before it is known whose it is."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

View = Callable[..., HttpResponse]


def guarded(view: View, *, methods: Collection[str] = (), takes_files: bool = False) -> View:
    """Return the view behind the guard, which lets these methods pass; none said, all.

    With `takes_files` a POST is a form with a file, not JSON, and of who may upload.

    Sessions are checked by the API itself, CSRF tokens with them; a LoginRequiredMiddleware would answer tokens with a
    redirect. ATOMIC_REQUESTS does not hold: operations open their transactions, and who waits must hold none.
    """

    @wraps(view)
    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with ExitStack() as places:
            try:
                _refuse_method(request, methods)
                _refuse_nul(request)
                if takes_files and request.method == "POST":
                    _look_at_form(request)
                    # The file is there until the answer is.
                    places.enter_context(uploads())
                    _take_form(request)
                else:
                    _take_body(request)
            except Exception as error:  # noqa: BLE001 - it is logged, and told as a problem
                return _finished(answer(request, error))
            return _finished(view(request, *args, **kwargs))

    marked = reads(_most_of_form) if takes_files else reads(_most, of_anybody=lambda: UNKNOWN_BYTES + 1)
    return marked(csrf_exempt(login_not_required(alone(guard))))


def unknown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Answer an address that is none."""
    return problem(404, "not_found", "There is nothing at this address.")


def _refuse_method(request: HttpRequest, methods: Collection[str]) -> None:
    """Raise `Refusal` (405) before a body is looked at that nobody takes."""
    if methods and request.method not in methods:
        allowed = ", ".join(methods)
        raise Refusal(405, "method_not_allowed", f"This address takes {allowed}.", headers={"Allow": allowed})


def _refuse_nul(request: HttpRequest) -> None:
    """Raise `Refusal` (422) for what no text in the database may hold."""
    if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
        raise Refusal(422, "invalid", "The address has a NUL character, which no text here can have.")


def _take_body(request: HttpRequest) -> None:
    """Read no more than may come. Raises `Refusal`: 400, 401, 413, 415."""
    if request.method not in WITH_BODY:
        return
    most: int = roost.API_MAX_BODY_BYTES
    _refuse_packed(request)
    if _length(request) > most:
        raise _too_large(most)
    try:
        body = bytes(request.read(min(most, UNKNOWN_BYTES) + 1))
        if UNKNOWN_BYTES < len(body) <= most:
            _refuse_unknown(request)
            body += bytes(request.read(most + 1 - len(body)))
    except RequestDataTooBig:
        raise _too_large(most) from None
    except UnreadablePostError:
        raise Refusal(400, "bad_request", "The body did not arrive.") from None
    if len(body) > most:
        raise _too_large(most)
    if body and request.content_type != JSON:
        raise Refusal(415, "unsupported_media_type", f"Send {JSON}.", headers={"Accept": JSON})
    # Django would read it again, and refuse it by a limit that is about forms.
    request._body = body


def _look_at_form(request: HttpRequest) -> None:
    """Look at what is said of a form with a file, and who sends it: who may not upload takes no place of who may.

    Raises `Refusal` (400, 401, 411, 413, 415) and `Forbidden`.
    """
    most: int = roost.API_MAX_UPLOAD_BYTES
    _refuse_packed(request)
    if request.content_type != FORM:
        raise Refusal(415, "unsupported_media_type", f"Send {FORM}.", headers={"Accept": FORM})
    if not request.META.get("CONTENT_LENGTH"):
        told = "Say how long the form is: send Content-Length, not Transfer-Encoding: chunked."
        raise Refusal(411, "length_required", told)
    if _length(request) > most + FORM_BYTES:
        raise _too_large(most)
    _refuse_unknown(request, Attach.permission)


def _take_form(request: HttpRequest) -> None:
    """Read a form with a file, which Django keeps on the disk if it is large. Raises `Refusal`: 400, 413."""
    try:
        request.POST, request.FILES  # noqa: B018 - reading them is what parses the form
    except (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent):
        raise Refusal(413, "too_large", "The form has more, or larger, fields than are taken.") from None
    except (MultiPartParserError, UnreadablePostError, SuspiciousOperation, BadRequest):
        raise Refusal(400, "bad_request", "The form cannot be read.") from None


def _refuse_unknown(request: HttpRequest, permission: str = "") -> None:
    """Raise `Refusal` (401) for who has neither a token nor a session, `Forbidden` for who lacks the permission.

    No connection is kept while a body comes.
    """
    caller = recognised(request)
    if caller is None:
        raise Refusal(401, "unauthenticated", WHO_CALLS, headers={"WWW-Authenticate": SIGN_IN})
    if permission:
        caller.require(permission)
    give_back_connection()


def _refuse_packed(request: HttpRequest) -> None:
    """Raise `Refusal` (415) for a body that would have to be unpacked: nobody knows how large it is."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        told = "Send the body as it is, without Content-Encoding."
        raise Refusal(415, "unsupported_media_type", told, headers={"Accept-Encoding": "identity"})


def _most() -> int:
    return int(roost.API_MAX_BODY_BYTES)


def _most_of_form() -> int:
    return max(_most(), int(roost.API_MAX_UPLOAD_BYTES) + FORM_BYTES)


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise Refusal(400, "bad_request", "Content-Length is no number.") from None


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too_large", f"At most {most} bytes are taken.")


def _finished(response: HttpResponse) -> HttpResponse:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
