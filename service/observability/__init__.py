"""What operators see: log lines, metrics and traces.

Read ``telemetry`` first: the JSON formatter that strikes out credentials, the request id, and every metric as a method
of ``Metrics``. ``tracing`` continues a caller's trace, ``log_writer`` gets the lines out without a request waiting,
``client_address`` says from where a request came.

A log line, a metric and a label hold no token, key, secret or body; labels come from small closed sets.
"""
