"""ENGINE: what experiments on prompts come to, and what is done about it.

`statistics` compares two groups of sessions and says how sure that is; `deciding` takes one look: which arms are worse, which are no worse,
and what follows; `measuring` asks the book; `standing` tells how an experiment stands; `drifting` says whether a version comes to what
it came to; `watching` looks when it is time, puts on record what it found, and takes arms out.

For the book and the command, never for a worker: the library it reckons with takes a second and a hundred megabytes, and is loaded at the
first look.
"""
