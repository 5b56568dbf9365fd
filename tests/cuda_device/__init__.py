"""What only a CUDA device can show: `make test-cuda`, on a machine that has one."""
