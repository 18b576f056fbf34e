"""A provider that plays a script in all four dialects, without a model, a key or a network.

For tests of the gateway, for the demo and for the tests of people who use the gateway. `script` is the file's model, `openai_wire` and
`anthropic_wire` the two formats, `server` plays, `running` starts it in a test, `process` in the foreground. Nothing here imports
`gateway.dialects`: it is the second opinion on the wire formats that the gateway is tested against.
"""

from gateway.rehearsal.running import RunningRehearsal
from gateway.rehearsal.script import Script, load, load_file
from gateway.rehearsal.server import Received

__all__ = ["Received", "RunningRehearsal", "Script", "load", "load_file"]
