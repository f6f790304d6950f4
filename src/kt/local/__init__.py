"""A database in this process: the servers' sessions and engines, without a server.

::

    client (KyotoTycoon, TokyoTyrant)  --request-->  kt.net.local  -->  session  -->  engine
                                       <---reply---               <--          <--

`opening` is what programs use; `databases` opens, tends and closes the files; `lines` makes the
sessions.
"""
