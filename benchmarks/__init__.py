"""What things cost, as ratios measured side by side in one run. ``python -m benchmarks`` prints them.

A machine that others use too has no stable seconds; a ratio of two loops that take turns in
the same minute has a meaning.

Each group of figures (`benchmarks.groups`) has a list of contenders, ``CONTENDERS``: one more reader is one more line.
"""
