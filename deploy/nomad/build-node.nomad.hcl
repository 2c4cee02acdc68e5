# Build Nodes on a Nomad cluster, as many as there are tasks that wait: each takes one task, ends, and is started anew for the next.
# The Nomad Autoscaler reads the queue's metric from a Prometheus that reads /metrics of the master.
job "anima-build-node" {
  datacenters = ["*"]
  type        = "service"

  group "x86_64" {
    count = 1

    constraint {
      attribute = "${attr.cpu.arch}"
      value     = "amd64"
    }

    scaling {
      enabled = true
      min     = 0
      max     = 50

      policy {
        evaluation_interval = "10s"
        cooldown            = "2m"

        check "queue" {
          source = "prometheus"
          query  = "sum(max by (kind, arch) (anima_tasks{kind=~\"src|build\",arch=\"x86_64\",status=~\"ready|leased\"}))"

          strategy "target-value" {
            target = 1
          }
        }
      }
    }

    # It ends after each task: that is no failure, whatever its exit code says of the task.
    restart {
      interval = "1m"
      attempts = 60
      delay    = "1s"
      mode     = "delay"
    }

    ephemeral_disk {
      size   = 20000
      sticky = true
    }

    task "build-node" {
      # It makes namespaces, mounts and control groups for its sandboxes.
      driver       = "raw_exec"
      kill_timeout = "60s"

      config {
        command = "/usr/bin/anima"
        args = [
          "build-node", "--once", "--wait-secs", "60",
          "--name", "nomad-${NOMAD_SHORT_ALLOC_ID}",
          "--master", "https://build.example.org",
          "--token-file", "${NOMAD_SECRETS_DIR}/token",
          "--folder", "${NOMAD_ALLOC_DIR}/node",
        ]
      }

      # anima token create nomad --role build-node; nomad var put nomad/jobs/anima-build-node token=…
      template {
        destination = "secrets/token"
        perms       = "0400"
        data        = "{{ with nomadVar \"nomad/jobs/anima-build-node\" }}{{ .token }}{{ end }}"
      }

      resources {
        cpu    = 4000
        memory = 8192
      }
    }
  }
}
