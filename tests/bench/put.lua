-- Uploads of SIZE bytes to fresh names, for wrk; prints one line of figures as JSON.
local size, prefix = tonumber(os.getenv("SIZE")), os.getenv("PREFIX")
local body = string.rep("x", size)
local headers = { ["Content-Length"] = size }
if os.getenv("TOKEN") then headers["X-Auth-Token"] = os.getenv("TOKEN") end
local count = 0

function request()
  count = count + 1
  return wrk.format("PUT", prefix .. count, headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "rate": %.1f, "p50": %.3f, "p99": %.3f, "max": %.3f, "failed": %d}\n',
    summary.requests, summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
