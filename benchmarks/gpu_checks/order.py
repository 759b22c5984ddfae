"""All checks, the important ones first, each with the seconds that it may take."""

from __future__ import annotations

from functools import partial

from gpu_checks.board import Board
from gpu_checks.device import Setting
from gpu_checks.results import command_line, equality, machine, memory
from gpu_checks.speed import compiled, speed
from gpu_checks.steps import breakdown, kernels
from gpu_checks.subjects import SHIPPED


def run_all(board: Board, where: Setting) -> None:
    small, large = where.sides
    board.check("machine", lambda: machine(board, where), 40)
    for name in SHIPPED:
        board.check(f"equality {name}", partial(equality, board, where, name), 12)
    for name in ("edsr", "rrdb"):
        board.check(f"memory {name}", partial(memory, board, where, name), 10)
    for name, side in (("edsr", small), ("edsr", large), ("rrdb", small), ("rrdb", large)):
        board.check(f"speed {name} {side}", partial(speed, board, where, name, side), 20)
    board.check("breakdown edsr", lambda: breakdown(board, where, "edsr"), 10)
    board.check("kernels edsr", lambda: kernels(board, where, "edsr"), 10)
    board.check("compile edsr", partial(compiled, board, where, "edsr", small, False), 30)
    board.check("command line", lambda: command_line(board, where), 30)
    for name, side in (("espcn", large), ("srgan", small), ("photo", small), ("photo", large)):
        board.check(f"speed {name} {side}", partial(speed, board, where, name, side), 12)
    board.check("breakdown srgan", lambda: breakdown(board, where, "srgan"), 8)
    board.check("kernels rrdb", lambda: kernels(board, where, "rrdb"), 8)
    board.check("compile engine", partial(compiled, board, where, "edsr", small, True), 30)
    board.check("compile rrdb", partial(compiled, board, where, "rrdb", small, False), 40)
