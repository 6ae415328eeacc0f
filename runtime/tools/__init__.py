"""Tools: what an agent may do, with what came of it always told as a result.

    tools = ToolRegistry()

    @tools.tool(confirm=lambda arguments: arguments["amount"] > 100, per_run=5)
    async def refund(order: int, amount: float, *, idempotency_key: str) -> dict:
        '''Pay money back for an order.'''

    result = await tools.acall(ctx, "refund", {"order": 7, "amount": 120})

Each call goes through the journal, so it is made once; those that need it wait for a person's approval first. A tool
that does not exist, arguments that are wrong, a rejection, a used-up quota and a failure for good are results
(`ToolResult`), for whoever chose the tool to read. What may pass by itself raises `RetryableError` once the call's
attempts are used up, and the step is retried by its own policy.

    result      what a call came to, and what a tool may return itself
    arguments   what a tool takes: from type hints, a pydantic model or a JSON schema
    registry    the tools of an agent, by name
    calling     the way of a call: arguments, approval, journal, result
    scripted    the tools played from a script, in tests
"""
