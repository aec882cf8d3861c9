"""How a run of operations executes as one fused group, band by band or channel by channel."""
