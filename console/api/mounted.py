"""Keep Roost's routes the same in whichever API they are mounted: behind the guard, and known as Roost's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Router
from ninja.operation import PathView
from ninja.router import RouterMount

from console.api.errors import answer, kind_of
from console.api.guard import guarded


class RoostRouter(Router):
    """A router whose addresses stand behind the guard, also in an API that is not Roost's."""

    def build_routers(self, *args: Any, **kwargs: Any) -> list[RouterMount]:
        """Return what an API mounts."""
        self.path_operations = {path: GuardedView.of(view) for path, view in self.path_operations.items()}
        return super().build_routers(*args, **kwargs)


class GuardedView(PathView):
    """What answers at one of Roost's addresses."""

    @classmethod
    def of(cls, view: PathView) -> GuardedView:
        """Return the same operations behind the guard."""
        if isinstance(view, cls):
            return view
        made = cls()
        made.operations, made.is_async, made.url_name = view.operations, view.is_async, view.url_name
        return made

    def clone(self) -> PathView:
        """Return what one API gets of it."""
        return GuardedView.of(super().clone())

    def get_view(self) -> Callable[..., HttpResponse]:
        """Return the view, which lets the methods pass that the address takes."""
        inner = super().get_view()

        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            request.is_roosts = True  # type: ignore[attr-defined]
            found: HttpResponse = inner(request, *args, **kwargs)
            return found

        methods = sorted({method for one in self.operations for method in one.methods})
        sources = {model.__ninja_param_source__ for one in self.operations for model in one.models}
        return guarded(view, methods=methods, takes_files="file" in sources)


def is_roosts(request: HttpRequest) -> bool:
    """Say whether it is one of Roost's routes that answers this request."""
    return getattr(request, "is_roosts", False)


def answer_for_roost(api: NinjaAPI) -> None:
    """Have an API answer with problems where a route of Roost's is asked; its own routes keep its own answers.

    What only the API knows, such as an exception of a decorator of its own, is told as the API tells it everywhere.
    """
    mounted_in: Any = api
    theirs = mounted_in.on_exception

    def on_exception(request: HttpRequest, error: Any) -> HttpResponse:
        if not is_roosts(request) or (kind_of(error) is Exception and _knows(api, error)):
            found: HttpResponse = theirs(request, error)
            return found
        return answer(request, error)

    mounted_in.on_exception = on_exception


def _knows(api: NinjaAPI, error: Exception) -> bool:
    """Say whether an API has a handler for this exception, and not only one for all."""
    found: Any = api._lookup_exception_handler
    return found(error) is not found(Exception())
