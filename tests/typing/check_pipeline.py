"""Types of pipelines and their results."""

from __future__ import annotations

from typing import Any, assert_type

from kt import (
    AsyncKyotoTycoon,
    AsyncTycoonPipeline,
    KyotoTycoon,
    PipelineResult,
    TokyoTyrant,
    TycoonPipeline,
)


def blocking(db: KyotoTycoon[str, str]) -> None:
    with db.pipeline() as pipe:
        assert_type(pipe, TycoonPipeline[str, str])
        assert_type(pipe.get("k"), PipelineResult[str | None])
        assert_type(pipe.get_or("k", 1), PipelineResult[str | int])
        assert_type(pipe.incr("k").result(), int)
        assert_type(pipe.get_bulk(["k"]).result(), dict[str, str])
        assert_type(pipe.exists("k").exception(), BaseException | None)
    assert_type(pipe.execute(), list[Any])


def tyrant(db: TokyoTyrant[bytes, str]) -> None:
    with db.pipeline(raise_errors=False) as pipe:
        assert_type(pipe.set("k", "v").result(), bool)
        assert_type(pipe.match_prefix("k").result(), list[bytes])


async def asynchronous(db: AsyncKyotoTycoon[str, str]) -> None:
    async with db.pipeline() as pipe:
        assert_type(pipe, AsyncTycoonPipeline[str, str])
        assert_type(pipe.get("k"), PipelineResult[str | None])
    assert_type(await pipe.execute(), list[Any])
