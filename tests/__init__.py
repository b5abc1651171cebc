"""The tests. A package of this name, so that none that another project installed stands before it."""
