"""Debian kernels as virtual machines: fetch them, boot them, run the contract inside. Started by ``ci/kernels``."""
