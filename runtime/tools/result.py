"""What a tool call came to: a value that is JSON, for models, journals and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from runtime.choices import ErrorCategory
from runtime.exceptions import AccessDenied, Declined, InvalidData, PermanentError, RetryableError, StepError


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResult:
    """What came of a tool call. A tool may return one itself; any other value is the payload of a success.

    `category` (see `choices.ErrorCategory`), `code` and `message` say what went wrong, `retryable` whether the same
    call may succeed later, `suggestions` what to do instead. `payload` and `metadata` are JSON.
    """

    success: bool
    payload: Any = None
    category: str = ""
    code: str = ""
    message: str = ""
    retryable: bool = False
    suggestions: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def failure(
        cls,
        category: str,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        suggestions: Sequence[str] = (),
        **metadata: Any,
    ) -> ToolResult:
        """Return the result of a call that was not made, or failed."""
        return cls(
            success=False,
            category=str(category),
            code=code,
            message=message,
            retryable=retryable,
            suggestions=tuple(suggestions),
            metadata=metadata,
        )

    def unwrap(self) -> Any:
        """Return the payload. Raises the error that stands for a failure's category."""
        if self.success:
            return self.payload
        details = {"suggestions": list(self.suggestions), **self.metadata}
        if self.retryable:
            after = self.metadata.get("retry_after")
            raise RetryableError(self.message, code=self.code, details=details, retry_after=after)
        raise _ERRORS.get(self.category, PermanentError)(self.message, code=self.code, details=details)

    def as_json(self) -> dict[str, Any]:
        """Return the result as an object: what a model is shown, and what the journal keeps."""
        if self.success and not (self.code or self.message or self.suggestions or self.metadata):
            return {"success": True, "payload": self.payload}
        return {
            "success": self.success,
            "payload": self.payload,
            "category": self.category,
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "suggestions": list(self.suggestions),
            "metadata": dict(self.metadata),
        }

    @classmethod
    def recorded(cls, data: Any) -> ToolResult:
        """Return what is recorded of a call: what `as_json` made, or what a person says that a call in doubt came to.

        Who answers that question need not know of results: any other value is the payload.
        """
        told = isinstance(data, Mapping) and isinstance(data.get("success"), bool) and _KEYS.issuperset(data)
        return cls.from_json(data) if told else cls(success=True, payload=data)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ToolResult:
        """Return the result that `as_json` made an object of."""
        return cls(**{**data, "suggestions": tuple(data.get("suggestions", ()))})


_KEYS = frozenset(field.name for field in fields(ToolResult))
_ERRORS: dict[str, type[StepError]] = {
    ErrorCategory.VALIDATION: InvalidData,
    ErrorCategory.BUSINESS: Declined,
    ErrorCategory.PERMISSION: AccessDenied,
}
