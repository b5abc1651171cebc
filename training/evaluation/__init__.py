"""How good a model's pictures are: `scenebrush evaluate`, or `python -m training.evaluation`.

What every figure means is written in docs/evaluation.md.
"""
