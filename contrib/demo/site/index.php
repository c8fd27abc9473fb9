<?php
// The bare address leads to the drawing board.
header('Location: /draw', true, 302);
