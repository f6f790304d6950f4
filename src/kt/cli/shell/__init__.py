"""The shell: `kt` without a verb.

On a terminal it has history, completion and colours, all by prompt_toolkit; where standard input is
something else, its lines are carried out one after the other. A line is a verb and its words, with
quotes as in a Unix shell, or one of the shell's own commands, which begin with a backslash
(`loop.COMMANDS`). The server, or the file, stays open from one line to the next.
"""
