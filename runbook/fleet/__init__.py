"""Many databases, one look at each: census and orphan rows through Dask's distributed scheduler.

``inventory`` says which databases there are, ``work`` is what a worker does with one of them,
``cluster`` and ``execution`` hand the work out, ``ledger`` keeps every result as it comes, and
``summary`` says what the results come to. Only ``work``, ``cluster`` and ``execution`` need Dask.
"""
