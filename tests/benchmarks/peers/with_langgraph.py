"""LangGraph with its Postgres saver: one node that loops 20 times, durability "sync", one graph at a time a process."""

from __future__ import annotations

import sys
import uuid
from typing import Any, TypedDict

import work


class State(TypedDict):
    """The graph's channels."""

    n: int
    pad: str


def step(state: State) -> dict[str, Any]:
    """Make one step."""
    return work.state(state["n"] + 1)


def more(state: State) -> str:
    """Say where to go next."""
    return "__end__" if state["n"] >= work.STEPS else "step"


def run(url: str, items: int, barrier: Any, times: Any) -> None:
    """Run the items' graphs in this process."""
    from langgraph.checkpoint.postgres import PostgresSaver
    from langgraph.graph import START, StateGraph

    with PostgresSaver.from_conn_string(url) as saver:
        builder = StateGraph(State)
        builder.add_node("step", step)
        builder.add_edge(START, "step")
        builder.add_conditional_edges("step", more)
        graph = builder.compile(checkpointer=saver)

        def one() -> None:
            config: Any = {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": 100}
            ended = graph.invoke(work.state(0), config, durability="sync")
            assert ended["n"] == work.STEPS

        one()

        def body() -> None:
            for _ in range(items):
                one()

        work.timed(barrier, times, body)


def prepare(url: str) -> None:
    """Make the tables."""
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()


if __name__ == "__main__":
    prepare(sys.argv[1])
    work.in_processes(run, sys.argv[1], int(sys.argv[2]))
