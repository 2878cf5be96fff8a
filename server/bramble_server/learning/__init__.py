"""What is done with updates: strategies, sums of weights, and the judgement of what may count.

Only weights and measures come here: neither readings nor connections.
"""
