"""Jobs in processes of their own: segmenting, reading results in, writing them out."""
