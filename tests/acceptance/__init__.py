"""Issue by issue what the product must show: real processes, real curl, real disk, real servers."""
