"""`kt`, the command: verbs on a server or a database file, and a shell.

=================  =================================================================================
module             has
=================  =================================================================================
program            from the words of a command line to an exit status
performing         carries out a line, and tells what an error means
verbs              the verbs by name, and the module that each is in
commands           what a verb is made of: parameters, the options that all have, how words are read
target             the server or the file that a verb works on
output             how bytes are shown: as they are, in hexadecimal, as JSON
records, searching, admin, table, tyrant, following, repl
                   the verbs
completion         what a command shell needs to complete a line
transfer           dump, load, copy, diff, convert
care               top, doctor, bench
shell              what there is without a verb
=================  =================================================================================

A verb is loaded when it is used, so that ``kt ping`` pays for nothing else. Keys and values are
bytes from the words of the command line to the output.

The names and flags of ktremotemgr are those of verbs here, and so are those of tcrmgr as far as
they do not clash; ``kt tcrmgr LINE`` takes every line of tcrmgr, clash or not.
"""
