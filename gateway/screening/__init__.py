"""ENGINE: answers on their way to a client, looked at by a screen. `streamed` holds back as little of a stream as it must, `whole` reads
answers in one piece.

Stands behind the hold: what comes here is what would be sent, written or let through by this gateway's own decoder. It knows dialects
(`gateway.dialects.texts`) and no rules: a hit is whatever the screen found. Not for calls: those are judged, whole, before they get here.
"""
