"""Deep Compression: pruning, weight sharing, Huffman coding, with an encoder and a decoder that round-trip exactly."""
