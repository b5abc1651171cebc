"""Networks, label sets and checkpoints. Imports torch, the standard library and safetensors; knows no web, no
canvas."""
