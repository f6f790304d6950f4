"""Records from one place to another: dump, load, copy, diff.

::

    source (a thread)          queue of batches           sink
    server, file, dump   -->   |####|####|        -->     server, file, dump

Records travel in batches of about a quarter of a megabyte, in the bytes that Kyoto Tycoon's binary
protocol has for them (`batches`). Between two Kyoto Tycoon servers and a binary dump nothing is
decoded. Every batch ends with a key, which is where an interrupted transfer goes on.
"""
