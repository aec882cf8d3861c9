"""Control: host port, queues, dispatch, counters, faults."""
