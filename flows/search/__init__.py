"""The property restored: settings of one pair, searched for, each trial an experiment of DVC and a run of Prefect.

space: what is tried. settings: params.yaml with it. job: what a search is of. trial: one run of it. study: all of them,
in a file. flow: which trial is run when. outcome: winner, verdict, table, picture. command: the command line.
"""
