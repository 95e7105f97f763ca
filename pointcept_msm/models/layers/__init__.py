"""Parts of the network: voxel index structures, sparse convolution, curves, attention, blocks."""
