"""The first rows of a Parquet file, column by column, from as few of its bytes as they take."""
