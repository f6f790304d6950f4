"""Lines for ktremotemgr and tcrmgr, which `kt` takes too. ``PORT`` stands for the server's port.

What they print was recorded with the original programs and is in ``data/lines.json``; a test runs
the originals again where they are.
"""

from __future__ import annotations

KTREMOTEMGR = """
set -host 127.0.0.1 -port PORT k v
get -port PORT k
get -port PORT -px k
get -port PORT -pt -pz k
get -port PORT none
set -port PORT -add k w
set -port PORT -add new w
set -port PORT -rep none w
set -port PORT -rep new r
set -port PORT -app new -5
get -port PORT new
set -port PORT -inci n 5
set -port PORT -inci n -7
set -port PORT -incd x 1.25
set -port PORT -inci k 5
set -port PORT -sx 6B6579 76 61
set -port PORT -sx 6B6579 76616C
get -port PORT -sx -px 6B6579
get -port PORT -rm key
get -port PORT key
set -port PORT -- -dash -value
get -port PORT -- -dash
set -port PORT a b c
setbulk -port PORT b1 1 b2 2 b3 3
setbulk -port PORT -bin b4 4
getbulk -port PORT b1 b2 none b4
getbulk -port PORT -bin b1 b4
getbulk -port PORT -px b1
removebulk -port PORT b1 none
removebulk -port PORT -bin b2
match -port PORT b
match -port PORT -limit 1 b
regex -port PORT ^b[34]$
remove -port PORT b3
remove -port PORT b3
inform -port PORT
sync -port PORT
sync -port PORT -hard
vacuum -port PORT
vacuum -port PORT -step 10
clear -port PORT -db 1
set -port PORT -db 1 c 3
set -port PORT -db 1 a 1
set -port PORT -db 1 b 2
list -port PORT -db 1
list -port PORT -db 1 -pv b
list -port PORT -db 1 -pv -px -pt -max 2
list -port PORT -db 1 -des -pv
list -port PORT -db 1 -des b
list -port PORT -db 1 -rm -max 1
list -port PORT -db 1
get -port PORT -db 9 a
clear -port PORT
inform -port PORT
script -port PORT none
set -port PORT -bogus k v
bogus -port PORT
"""
"""For a server with the databases ``*`` and ``%``; the second one is a tree."""

TCRMGR = """
put -port PORT 127.0.0.1 k v
get -port PORT 127.0.0.1 k
get -port PORT -px 127.0.0.1 k
get -port PORT -pz 127.0.0.1 k
get -port PORT 127.0.0.1 none
put -port PORT -dk 127.0.0.1 k w
put -port PORT -dk 127.0.0.1 new w
put -port PORT -dc 127.0.0.1 new x
get -port PORT 127.0.0.1 new
put -port PORT -ds 2 127.0.0.1 new yz
get -port PORT 127.0.0.1 new
put -port PORT -dai 127.0.0.1 n 5
put -port PORT -dai 127.0.0.1 n -7
put -port PORT -dad 127.0.0.1 x 1.25
put -port PORT -sx 127.0.0.1 6B6579 76616C
get -port PORT 127.0.0.1 key
put -port PORT -sep | 127.0.0.1 row a|1|b|2
get -port PORT -px 127.0.0.1 row
get -port PORT -sep | 127.0.0.1 row
out -port PORT 127.0.0.1 x
out -port PORT 127.0.0.1 x
out -port PORT 127.0.0.1 n
mget -port PORT 127.0.0.1 k none new
list -port PORT 127.0.0.1
list -port PORT -m 2 -pv 127.0.0.1
list -port PORT -fm k 127.0.0.1
list -port PORT -fm k -pv -px 127.0.0.1
misc -port PORT 127.0.0.1 put m 1
misc -port PORT 127.0.0.1 get m
misc -port PORT -mnu 127.0.0.1 getlist m k
misc -port PORT 127.0.0.1 out m
misc -port PORT 127.0.0.1 get m
misc -port PORT 127.0.0.1 bogus
ext -port PORT 127.0.0.1 none k v
sync -port PORT 127.0.0.1
optimize -port PORT 127.0.0.1
vanish -port PORT 127.0.0.1
list -port PORT 127.0.0.1
put -port PORT 127.0.0.1 k
put -port PORT 127.0.0.1 k v w
"""
"""For a server with the database ``+``, whose keys have an order."""

LINES = {"ktremotemgr": KTREMOTEMGR, "tcrmgr": TCRMGR}


def lines_of(program: str, port: int) -> list[list[str]]:
    """The words of every line."""
    return [line.replace("PORT", str(port)).split() for line in LINES[program].split("\n") if line]
