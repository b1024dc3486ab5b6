"""The only place that opens adapters: ``whole`` builds the daemon, ``database`` what is done while none runs."""
