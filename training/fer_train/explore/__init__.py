"""What a data set holds, and faces cut out of photographs."""
