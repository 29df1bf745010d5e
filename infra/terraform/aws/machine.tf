# One machine with a disk, reachable by Session Manager only: no port is open.

resource "aws_iam_instance_profile" "machine" {
  count = var.machine == null ? 0 : 1
  name  = "trendbreak"
  role  = aws_iam_role.reader.name
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count      = var.machine == null ? 0 : 1
  role       = aws_iam_role.reader.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_security_group" "machine" {
  #checkov:skip=CKV_AWS_382:only ports 443 and 53 are open outwards; providers' addresses are not fixed
  count       = var.machine == null ? 0 : 1
  name        = "trendbreak"
  description = "Trendbreak: nothing comes in, HTTPS goes out"
  vpc_id      = var.machine.vpc_id
  ingress     = []
  egress {
    description = "Providers, buckets, Slack"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_instance" "machine" {
  count                       = var.machine == null ? 0 : 1
  ami                         = var.machine.ami
  instance_type               = var.machine.instance_type
  subnet_id                   = var.machine.subnet_id
  iam_instance_profile        = aws_iam_instance_profile.machine[0].name
  vpc_security_group_ids      = [aws_security_group.machine[0].id]
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = true
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2 # a container on it is one hop further
  }
  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = 20
  }
  tags = { Name = "trendbreak" }
}

# The home: warehouse, landing, state. It outlives the machine.
resource "aws_ebs_volume" "home" {
  count             = var.machine == null ? 0 : 1
  availability_zone = aws_instance.machine[0].availability_zone
  size              = var.machine.disk_gib
  type              = "gp3"
  encrypted         = true
  kms_key_id        = aws_kms_key.billing.arn
  tags              = { Name = "trendbreak-home" }
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_volume_attachment" "home" {
  count       = var.machine == null ? 0 : 1
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.home[0].id
  instance_id = aws_instance.machine[0].id
}
