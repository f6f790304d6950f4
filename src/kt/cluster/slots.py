"""Who serves which slot, and what an error of the engine means: values, no sockets.

The map comes from ``CLUSTER NODES`` of any node, which has the *epoch* of each master: the owner of
a slot is replaced only by one of a later epoch, so a node that slept while it was replaced cannot
bring the map back. ``MOVED`` is believed until the next map.

Of itself a master knows best. Whoever asks all masters for what they have learns from what each
says of itself, before and afterwards, whether records may have passed him by
(`kt.cluster.walks.Passes`).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final, NamedTuple

from kt.cluster.layout import SLOTS
from kt.wire.resp_error import RespError

NODES: Final = [b"CLUSTER", b"NODES"]
"""The command whose reply says what a node knows."""


class Meaning(Enum):
    """What an error says of the command."""

    MOVED = auto()
    """Another node has the slot."""
    ASK = auto()
    """Another node has this key already; the next command for the slot may go here all the same."""
    LATER = auto()
    """Not carried out, and may be in a while."""
    SCRIPT = auto()
    """Not carried out: the node does not know the script."""
    REFUSED = auto()
    """Not carried out, and never will be."""


class Verdict(NamedTuple):
    """What is to be done with a command.

    Attributes:
        meaning: see there.
        node: with MOVED and ASK, which node it is for.
    """

    meaning: Meaning
    node: str = ""


_LATER: Final = frozenset(
    (b"TRYAGAIN", b"CLUSTERDOWN", b"READONLY", b"LOADING", b"MASTERDOWN", b"BUSY", b"-MASTERDOWN")
)


def judge(error: RespError, asked: str) -> Verdict:
    """What an error means.

    Args:
        error: the reply.
        asked: the address of the node that it came from.
    """
    kind = error.kind
    if kind in (b"MOVED", b"ASK"):
        words = error.text.split(b" ")
        node = _address(words[-1].decode("utf-8", "replace"), asked)
        return Verdict(Meaning.MOVED if kind == b"MOVED" else Meaning.ASK, node)
    if kind == b"NOSCRIPT":
        return Verdict(Meaning.SCRIPT)
    if kind in _LATER:
        return Verdict(Meaning.LATER)
    return Verdict(Meaning.REFUSED)


def _address(text: str, asked: str) -> str:
    """``HOST:PORT``; a node that does not know its own host leaves it out."""
    host, _, port = text.rpartition(":")
    return f"{host or asked.rpartition(':')[0]}:{port}"


class SlotMap:
    """The nodes, as far as they are known.

    Attributes:
        masters: addresses of those that serve slots.
        replicas_up: how many nodes follow a master and are not lost.
    """

    def __init__(self) -> None:
        self.masters: list[str] = []
        self.replicas_up = 0
        self._owners: list[str] = [""] * SLOTS
        self._changed: set[int] = set()
        self._epochs: list[int] = [-1] * SLOTS
        self._nodes: set[str] = set()
        self._lost: set[str] = set()
        self._replicas: dict[str, list[str]] = {}

    def owner(self, slot: int) -> str:
        """The address of the master of a slot; empty if nobody is known."""
        return self._owners[slot]

    @property
    def owners(self) -> tuple[str, ...]:
        """Those of all slots."""
        return tuple(self._owners)

    def replicas(self, master: str) -> list[str]:
        """Addresses of the nodes that may take over from a master."""
        return self._replicas.get(master, [])

    @property
    def nodes(self) -> list[str]:
        """Addresses of all nodes."""
        return sorted(self._nodes)

    def is_complete(self) -> bool:
        """Whether every slot has a master."""
        return "" not in self._owners

    def served(self) -> int:
        """How many slots have one that is not lost, as far as that is known."""
        return SLOTS - sum(not owner or owner in self._lost for owner in self._owners)

    def moved(self, slot: int, node: str) -> None:
        """Believe a redirection."""
        self._give(slot, node)
        self._nodes.add(node)
        self._count()

    def learn(self, text: bytes, asked: str) -> set[str]:
        """Take in what a node says.

        Args:
            text: its reply to ``CLUSTER NODES``.
            asked: its address.

        Returns:
            addresses of nodes that serve no slots, and must not be written to any more.
        """
        nodes, deposed = {}, set()
        names, followers = {}, []
        claims: list[tuple[str, int, list[str]]] = []
        for line in text.decode("utf-8", "replace").splitlines():
            words = line.split(" ")
            if len(words) < 8:
                continue
            node = _address(words[1].partition("@")[0].partition(",")[0], asked)
            flags = words[2].split(",")
            if "noaddr" in flags or "handshake" in flags:
                continue
            nodes[node] = flags
            names[words[0]] = node
            followers.append((words[3], node))
            slots = [word for word in words[8:] if word[:1] != "["]
            if "master" in flags and slots:
                claims.append((node, int(words[6]), slots))
            elif "master" not in flags or "fail" in flags:
                deposed.add(node)
        self._nodes = set(nodes)
        self._lost = {node for node, flags in nodes.items() if "fail" in flags}
        self.replicas_up = sum("slave" in nodes[node] for node in self._nodes - self._lost)
        for master, node in followers:
            if master in names and node not in self.replicas(names[master]):
                self._replicas.setdefault(names[master], []).append(node)
        for node, epoch, slots in claims:
            for word in slots:
                self._claim(node, epoch, word)
        self._count()
        return deposed - set(self._owners)

    def _claim(self, node: str, epoch: int, word: str) -> None:
        """Give the slots of a word such as ``0-5460`` to a node."""
        first, last = _range(word)
        for slot in range(first, last + 1):
            if epoch >= self._epochs[slot] or self._owners[slot] not in self._nodes:
                self._give(slot, node)
                self._epochs[slot] = epoch

    def _give(self, slot: int, node: str) -> None:
        if self._owners[slot] != node:
            self._owners[slot] = node
            self._changed.add(slot)

    def take_changed(self) -> set[int]:
        """The slots that have got another owner since the last time."""
        changed, self._changed = self._changed, set()
        return changed

    def _count(self) -> None:
        self.masters = sorted({owner for owner in self._owners if owner})


Move = tuple[str, str]
"""From which node a slot goes to which, by their names."""


class View:
    """What all masters say of themselves.

    Args:
        replies: of the masters that were asked, each with its address, to `NODES`.

    Attributes:
        nodes: the addresses of those who were asked.
        owners: by the slot, the name of the master that says that it is its; empty for nobody.
        moving: by the slot, which is under way.
    """

    def __init__(self, replies: list[tuple[str, Any]]) -> None:
        self.nodes = [node for node, _ in replies]
        self.owners = [""] * SLOTS
        self.moving: dict[int, Move] = {}
        self._epochs: dict[str, int] = {}
        lines = [_own_line(reply) for _, reply in replies]
        # A slot that arrives is claimed by both for a moment, and the later epoch counts.
        for words in sorted(filter(None, lines), key=lambda words: int(words[6])):
            self._epochs[words[0]] = int(words[6])
            for word in words[8:]:
                self._take(words[0], word)

    def _take(self, name: str, word: str) -> None:
        """Take in one of ``0-5460``, ``[93->-TARGET]`` and ``[93-<-SOURCE]``."""
        if word[:1] != "[":
            first, last = _range(word)
            self.owners[first : last + 1] = [name] * (last + 1 - first)
            return
        slot, sign, other = word[1:-1].partition("->-" if "->-" in word else "-<-")
        self.moving[int(slot)] = (name, other) if sign == "->-" else (other, name)

    def is_complete(self) -> bool:
        """Whether all who have slots were asked."""
        return "" not in self.owners

    def is_still(self, other: View) -> bool:
        """Whether nothing has moved from then to now, and nothing is about to."""
        same = self.owners == other.owners and self._epochs == other._epochs
        return same and not (self.moving or other.moving)

    def moves_to(self, later: View) -> dict[int, set[Move]]:
        """What has moved until then, or may have, by the slot."""
        moves: dict[int, set[Move]] = {}
        for view in (self, later):
            for slot, move in view.moving.items():
                moves.setdefault(slot, set()).add(move)
        if self.owners != later.owners:
            for slot, move in enumerate(zip(self.owners, later.owners, strict=True)):
                if move[0] != move[1]:
                    moves.setdefault(slot, set()).add(move)
        return moves


def _own_line(reply: bytes) -> list[str]:
    """The words with which a master speaks of itself; none of a node that is no master."""
    for line in reply.decode("utf-8", "replace").splitlines():
        words = line.split(" ")
        flags = words[2].split(",") if len(words) >= 8 else []
        if "myself" in flags:
            return words if "master" in flags else []
    return []


def _range(word: str) -> tuple[int, int]:
    """The first and the last slot of a word such as ``0-5460`` or ``7``."""
    first, _, last = word.partition("-")
    return int(first), int(last or first)
