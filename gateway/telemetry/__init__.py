"""ENGINE: what the book tells OpenTelemetry as it goes: spans to a collector, metrics to a collector and at `/metrics`.

    late        nothing of it is loaded before there is something to tell, or somebody looks
    telling     a thread of its own takes what the ledger has newly applied and makes spans and metrics of it
    spans       a span of ours (`trace/otel.py`) as one of OpenTelemetry's SDK
    sending     the SDK's batches and exporters, counted; a collector that hangs fills a bounded queue and nothing else
    metrics     the instruments, and their labels, which are few whatever clients send
    content     what was said, in the conventions' form, where the settings want it told

Workers know nothing of it: they write records. Telemetry may drop, which is counted and shown; the book may not, so nothing here is waited
for by it. Not here: the mapping of records to spans (`trace/otel.py`), what is exported later (`cli/export_otlp.py`).
"""
