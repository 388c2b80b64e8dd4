"""The process that copies between a container's files and a tar stream, and what it is made of.

Nothing here imports the rest of the supervisor but the readers of tar streams: the process must start in milliseconds,
and hold nothing worth having.

    __main__.py   one order, carried out
    view.py       the container's files as one tree, mounted in a mount namespace of the process's own
    inroot.py     opening paths that never lead out of that tree
    paths.py      what Docker makes of a path (pure)
    pack.py       tree → tar
    extract.py    tar → tree
    difference.py what a container has added, changed and deleted
"""
