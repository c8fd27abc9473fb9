<?php
// The page of the drawing board: what a plain GET of /draw is answered with.
// The Upgrade of the same address goes to board.py, the script and the style
// below it are files.
declare(strict_types=1);

header('Content-Type: text/html; charset=utf-8');
header('Cache-Control: no-store');
header("Content-Security-Policy: default-src 'self'");
$pid = getmypid();
$version = PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drawing board</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/draw/board.css">
<script src="/draw/board.js" defer></script>
</head>
<body>
<header>
  <h1>Drawing board</h1>
  <ul class="from">
    <li><b>page</b> PHP <?= $version ?>, process <span id="pid"><?= $pid ?></span></li>
    <li><b>script</b> a file</li>
    <li id="socket" class="waiting"><b>strokes</b> <span id="state">connecting</span></li>
  </ul>
  <ul id="people" class="people" aria-label="people at the board"></ul>
</header>
<main>
  <canvas id="board" aria-label="drawing board"></canvas>
  <div id="pointers" aria-hidden="true"></div>
</main>
<footer>
  <div id="colours" role="group" aria-label="colour"></div>
  <div id="widths" role="group" aria-label="width"></div>
  <button id="clear" type="button">Clear</button>
</footer>
</body>
</html>
