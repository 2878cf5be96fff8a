"""Who there is: clients and their history, who is let in and by which token, and what the log says about whom.

Nothing here knows of rounds or models.
"""
