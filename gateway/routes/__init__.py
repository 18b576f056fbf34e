"""ENGINE: which of a route's targets is asked, and whether again. `choosing` picks one, `breaker` leaves failing ones alone, `outcomes`
says what an answer or a fault means, `retrying` when another attempt is right, `health` remembers what was seen of each target.

Pure: time and chance come in as arguments, so that all of it can be tried by properties. Asking is `gateway/attempting.py`.
"""
