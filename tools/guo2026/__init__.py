"""Parts of the tool that goes through Guo, Wu and Yiu's steps."""
