"""The paper's evaluation: its tables and figures, published and reproduced, on its machine and on this one."""
